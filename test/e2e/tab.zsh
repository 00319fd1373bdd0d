# What zsh offers when somebody presses Tab at the end of the line `$1`: `_blackgate` is in this folder.
# What only sorts what there is, compadd with -O, -A or -D, adds nothing.
rm -f offers over
zmodload zsh/zpty
zpty tab zsh -f -i
zpty -w tab 'PS1= PS2= RPS1= fpath=($PWD $fpath)
autoload -Uz compinit && compinit -u -d $PWD/.dump
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)* ]]; then builtin compadd "$@"; return; fi
  local -a offered
  builtin compadd -A offered "$@"
  (( $#offered )) && print -rl -- $offered >>offers
  builtin compadd "$@"
}
over() { print >over }
zle-line-init() { print rea""dy }
zle -N over
zle -N zle-line-init
bindkey "^I" complete-word "^X" over'
while zpty -r tab line; do [[ $line == *ready* ]] && break; done
zpty -w -n tab "$1"$'\t\x18'
for (( looks = 0; looks < 1000; looks++ )); do [[ -e over ]] && break; sleep 0.01; done
zpty -d tab
[[ -e over ]] || print "never came: what Tab does"
[[ ! -e offers ]] || cat offers
