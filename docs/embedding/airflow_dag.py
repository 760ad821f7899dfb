"""Airflow: the day's files, then the night, beside a service on the same history.

Exit code 4 is done, with rows set aside: a success with a line in the log. Exit code 7 is a gate that kept the model
that serves: no failure either, and the task is marked as skipped.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

INGEST = """
ordervet ingest /data/incoming/{{ ds }}/* --history /data/history --quarantine /data/aside/{{ ds }}.csv
code=$?
[ $code -eq 4 ] && echo "rows were set aside: /data/aside/{{ ds }}.csv" && exit 0
exit $code
"""
RETRAIN = "ordervet retrain --history /data/history --models /data/models"

with DAG("ordervet", schedule="0 3 * * *", start_date=datetime(2026, 1, 1), catchup=False) as dag:  # noqa: DTZ001 - of Airflow
    ingest = BashOperator(task_id="ingest", bash_command=INGEST)
    retrain = BashOperator(task_id="retrain", bash_command=RETRAIN, skip_on_exit_code=7)
    ingest >> retrain
