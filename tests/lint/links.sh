#!/usr/bin/env bash
# Every relative link in a Markdown file leads to a file or folder of the tree. Prints every offence; exits 1 if there is one.
set -uo pipefail
cd "$(dirname "$0")/../.."
bad=0
checked=0
while IFS= read -r page; do
  while IFS= read -r link; do
    target=${link%%#*}
    case "$target" in
      '' | *://* | mailto:*) continue ;;
    esac
    checked=$((checked + 1))
    if [ ! -e "$(dirname "$page")/$target" ]; then
      echo "$page: the link $link leads nowhere"
      bad=1
    fi
  done < <(grep -oE '\]\([^) ]+\)' "$page" | sed -E 's/^\]\((.*)\)$/\1/')
done < <(find . -name '*.md' -not -path './.git/*' -not -path './build/*' -not -path './runs/*' -not -path './.venv*')
if [ "$checked" -eq 0 ]; then
  echo "0 links checked"
  bad=1
fi
exit $bad
