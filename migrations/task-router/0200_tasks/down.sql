DROP TABLE pushes, task_refusals, task_dependencies, tasks;
DROP TYPE task_taken, task_state;
