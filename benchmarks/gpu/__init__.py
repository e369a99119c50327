"""GPU benchmarks: ``python -m ohlora_fast.benchmarks.gpu`` runs all of them, ``--dry-run`` tells what would run.

One file a question, which lists `Case`s: what is computed, by whom, and what any provider must do for it. `limits`
measures what this GPU can do, `run` times the cases, `report` lays the results out.
"""
