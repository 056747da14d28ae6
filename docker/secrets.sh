#!/bin/sh
# Makes the secrets that compose.yaml gives to its containers, where there are none yet: a file each, in secrets/.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets  # the files themselves are readable, because nobody in the containers is root

keep() { # NAME TEXT
  [ -e "secrets/$1" ] || printf %s "$2" >"secrets/$1"
}
word() {
  head -c 32 /dev/urandom | base64 | tr -d '/+=\n'
}

keep postgres_password "$(word)"
database="postgresql+psycopg://sweeps:$(cat secrets/postgres_password)@postgres:5432"
keep ledger_url "$database/ledger"
keep mlflow_url "$database/mlflow"
keep accounts_url "$database/accounts"
keep mlflow_key "$(word)"
keep mlflow_password "$(word)"
keep ray_token "$(word)"
echo "The secrets are in docker/secrets: MLflow's account is admin with mlflow_password, Ray's token is ray_token."
