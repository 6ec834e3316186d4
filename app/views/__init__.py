"""One screen a module; a view is given a `ViewContext` and knows no other screen."""
