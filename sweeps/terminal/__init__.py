"""What a person sees of a sweep: a live table, plain lines, and the account at its end.

outline    what is known of a sweep before it runs     wording     numbers, durations, parameters as text
board      its state, built from progress events       row         one trial of it
drawing    the board as a picture of a given size      trial_rows  the table in it, made of `columns`
time_left  how long it still takes                     live        redraws the picture while a sweep runs
plain      lines instead, where there is no terminal   report      leaderboard, gain, facts to copy
endings    why trials ended early, by reason
"""
