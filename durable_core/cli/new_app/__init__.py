"""New apps: the files of a template, rendered for a name, with a wheel of the package that makes them."""
