"""The browser app: a server on this machine, a page without a build step, training in processes of their own."""
