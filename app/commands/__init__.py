"""The subcommands of `chatbelle`, one topic a module: `add_parser` describes it, `run` does it."""
