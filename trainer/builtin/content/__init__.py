"""What the corpus talks of: topics and feelings, kept as text files of templates (see `trainer.builtin.grammar`).

A topic opens with `== name situation ages title`: S01..S13 of the AI Hub schema, digits 1 (youth) to
4 (old), a Korean name. Then it has lines:

    event GROUPS: told → mirrored   GROUPS: emotion groups, digits 1..6. Told: an 아/어 form without ending (시험을
                                    망쳐), with ^ when it still goes on. Mirrored: an honorific past stem (시험을
                                    망치셨) that 군요, 네요, 다니 and 으니 can follow
    ask: …                          a question after the event
    detail: told → mirrored         whole sentences; a past stem
    remedy: …                       a question after the detail
    plan: told → answered           whole sentences, both
"""

from trainer.builtin.content.topics import Event, Exchange, Feeling, Topic, feelings, topics

__all__ = ["Event", "Exchange", "Feeling", "Topic", "feelings", "topics"]
