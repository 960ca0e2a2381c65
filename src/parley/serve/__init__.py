"""`parley serve`: what is around the server that `app` puts together, from the listeners to the signals."""
