-- Beside the ledger, which POSTGRES_DB makes: MLflow's runs and models, and its accounts.
CREATE DATABASE mlflow;
CREATE DATABASE accounts;
