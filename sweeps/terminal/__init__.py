"""What a person sees of a sweep: a live table, plain lines, and the account at its end.

outline    what is known of a sweep before it runs     board     its state, built from progress events
time_left  how long it still takes                     drawing   the board as a picture of a given size
live       redraws it while the sweep runs             plain     lines instead, where there is no terminal
report     leaderboard, endings, what to do next       wording   numbers, durations and parameters as text
"""
