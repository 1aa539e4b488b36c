"""HTTP, the same in every service: authentication, commands, problems, operations, task lists."""
