// Each of Effect's servers brings a Terminal, which listens for the end of stdin for as long as there is that server. Tests have more of
// them at a time than Node takes for no leak.
process.stdin.setMaxListeners(0)
