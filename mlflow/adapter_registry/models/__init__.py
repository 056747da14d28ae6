"""Adapters as MLflow models: the best becomes `models:/NAME@champion`.

candidate       an adapter and its evidence, read from a trial's run
promotion       moves the alias, and back; champions: what it points to
logged_model    an adapter as an MLflow model; model, model_script: what MLflow then runs; engines: what answers
prompts         what a model may be asked
"""
