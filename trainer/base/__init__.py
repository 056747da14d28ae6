"""Base models: what they are called, their shape, their weights and vocabulary.

names        what a base model may be called
folders      what its folder holds, told before it is loaded
shapes       its sizes, for checks and for the memory that slots will need
base         `load_base` → `BaseModel`: KerasHub's layers, frozen, with a tokenizer
block_setup  what its blocks are set up with, whatever it was loaded from
tokenizer    its SentencePiece vocabulary
hugging_face, hugging_face_config, hugging_face_weights   folders in that layout; json_file: files of JSON
builtin/     the built-in model's weights and vocabulary (`trainer.builtin` makes them)

Nothing is imported here: names and shapes are known without Keras or JAX.
"""
