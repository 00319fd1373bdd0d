# What fish offers when somebody presses Tab at the end of a line, without what it says of each.
source _blackgate
complete -C $argv[1] | string replace --regex '\t.*' ''
