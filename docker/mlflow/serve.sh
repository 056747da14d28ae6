#!/bin/sh
# Starts the tracking server with accounts. From the environment:
#   MLFLOW_BACKEND_STORE_URI        database of runs and models
#   MLFLOW_ARTIFACTS_DESTINATION    folder or bucket of adapters; /artifacts
#   MLFLOW_AUTH_DATABASE_URI        database of accounts
#   MLFLOW_FLASK_SERVER_SECRET_KEY  signs what the pages send
#   MLFLOW_ADMIN_USERNAME, MLFLOW_ADMIN_PASSWORD   the first account
#   MLFLOW_ALLOWED_HOSTS            names that it answers to
# Each may be given as NAME_FILE, a file that holds it.
set -eu

for name in MLFLOW_BACKEND_STORE_URI MLFLOW_AUTH_DATABASE_URI MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_ADMIN_PASSWORD; do
  eval "file=\${${name}_FILE:-}"
  if [ -n "$file" ]; then
    value=$(cat "$file")
    export "$name=$value"
  fi
done

set -a
. /etc/gemma-sweeps/server.env
set +a

# MLflow reads the first account and the database of accounts from a file only.
MLFLOW_AUTH_CONFIG_PATH=$(mktemp)
export MLFLOW_AUTH_CONFIG_PATH
cat >"$MLFLOW_AUTH_CONFIG_PATH" <<CONFIG
[mlflow]
default_permission = EDIT
database_uri = $MLFLOW_AUTH_DATABASE_URI
admin_username = ${MLFLOW_ADMIN_USERNAME:-admin}
admin_password = $MLFLOW_ADMIN_PASSWORD
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
CONFIG

exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 \
  --backend-store-uri "$MLFLOW_BACKEND_STORE_URI" \
  --serve-artifacts --artifacts-destination "${MLFLOW_ARTIFACTS_DESTINATION:-/artifacts}" \
  --allowed-hosts "${MLFLOW_ALLOWED_HOSTS:-mlflow:5000,localhost:5000}"
