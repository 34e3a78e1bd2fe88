"""The study's pages: server-rendered, small modules, no build, nothing from elsewhere."""
