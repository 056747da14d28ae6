"""What several commands use.

exit_codes   errors → one sentence and an exit code      console       what the standard output can show
program      what to type to run this                    json_output   what `--json` writes
requests     asks a sweep for something                  trial_params  `KEY=VALUE`, read and checked
run_shown    a sweep runs before the user's eyes         watch         … or is watched, through the ledger
summary      the account at a sweep's end                remote        sweeps on a cluster
dry_run      what a launch would do                      answers       a champion answers, its base beside it
boards       the board of a sweep that has begun         repeated      a trial that would train again what one has
options      arguments that several commands have
"""
