"""Files that make something else run a recipe day by day: cron, systemd, Kubernetes, Airflow."""
