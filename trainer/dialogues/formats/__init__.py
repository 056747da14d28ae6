"""One file for each form that records come in: AI Hub's JSON and its tables, chat messages, pairs of columns.

Each makes drafts of records (`trainer.dialogues.drafts`); `trainer.dialogues.reading` knows which form a file has.
"""
