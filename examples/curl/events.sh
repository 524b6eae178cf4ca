#!/bin/sh
# Listening with curl: events as lines of JSON, from a stream that is opened again whenever it ends, and goes on where it was.
#
#   sh events.sh http://127.0.0.1:8080 'topics=trades.*&where.side=buy'
#
# The simplest connection is one line, and ends when it does:
#
#   curl -N 'http://127.0.0.1:8080/events?topics=trades.*'
#
# The selection is in the URL and stays: for another one, open another stream. With a credential, set TOKEN.
set -u
server=$1
query=${2:-topics=%3E}
place=$(mktemp) # the last id: where to go on
trap 'rm -f "$place"' EXIT
trap 'exit 130' INT TERM

wait=1
while :; do
  set -- --silent --no-buffer --max-time 86400 --write-out '\nstatus: %{http_code}\n' --header "Last-Event-ID: $(cat "$place")"
  if [ -n "${TOKEN:-}" ]; then set -- "$@" --header "Authorization: Bearer $TOKEN"; fi
  # No byte for a minute, not even a heartbeat: nobody is there any more.
  curl "$@" --speed-limit 1 --speed-time 60 "$server/events?$query" | {
    outcome=1
    while IFS= read -r line; do
      case $line in
        'id: '*) printf %s "${line#id: }" >"$place" && outcome=0 ;;
        'data: '*) printf '%s\n' "${line#data: }" ;;
        'status: 429' | 'status: 5'*) ;;      # it may be answered later
        'status: 4'*) exit 2 ;;               # it never will be
        '{'*) printf '%s\n' "$line" >&2 ;;    # why it was refused
      esac
    done
    exit $outcome
  }
  case $? in
    0) wait=1 ;;
    2) exit 1 ;;
    *) [ $wait -lt 16 ] && wait=$((wait * 2)) ;;
  esac
  # Not all at the same time: a second more or less by chance.
  sleep $((wait + $(od -An -N1 -tu1 /dev/urandom) % 2))
done
