"""Where jobs run: executors, later the queue and the worker process."""
