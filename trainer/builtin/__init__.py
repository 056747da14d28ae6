"""The model and data that come with the project, so that nothing needs to be downloaded.

josa, grammar      Korean particles; a small text grammar with choices, slots and speech levels
content/           what the corpus talks of: topics, feelings, people and things
corpus             counselling dialogues in the AI Hub schema   (python -m trainer.builtin.corpus OUT_DIR)
everyday           plain Korean and English text that the model is pretrained on
vocabulary         the SentencePiece vocabulary of both          (python -m trainer.builtin.vocabulary OUT_FILE)
pretrain           makes the model                               (python -m trainer.builtin.pretrain OUT_DIR)
model/             the shipped KerasHub preset folder
"""
