"""The command line: a root command here, subcommands of plugins by hook."""
