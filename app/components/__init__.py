"""One control a module: state and callbacks in, no service behind their backs."""
