#!/bin/sh
# Publishing over HTTP, for a source of the kind `push`.
#
#   sh publish.sh http://127.0.0.1:8080
#
# On the machine of the server this needs no credential; from elsewhere add -H "Authorization: Bearer $TOKEN" to each call, with
# a token that allows to publish (docs/security.md).
set -eu
server=$1
json='Content-Type: application/json'

# One event. The answer tells its place in the log.
curl --silent --show-error --fail-with-body "$server/publish" -H "$json" \
  --data '{"topic":"chat.a","id":"m1","data":{"text":"hello"}}'
echo

# Several. With `dedupe`, what has an id that came before is answered as a duplicate: publishing again does no harm.
curl --silent --show-error --fail-with-body "$server/publish" -H "$json" \
  --data '[{"topic":"chat.a","id":"m2","data":{"text":"how"}},{"topic":"chat.b","id":"m3","data":{"text":"are you"}}]'
echo

# Many, a line each, published as they arrive: also from a program that writes for hours.
printf '%s\n' '{"topic":"chat.a","data":1}' '{"topic":"chat.a","data":2}' |
  curl --silent --show-error --fail-with-body "$server/publish" -H 'Content-Type: application/x-ndjson' --upload-file - --request POST
echo

# Without ids in the events, the request can have one: sent again, it is answered as the first time, and published once.
key="\"$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')\""
for attempt in 1 2; do
  curl --silent --show-error --fail-with-body "$server/publish" -H "$json" -H "Idempotency-Key: $key" \
    --data '{"topic":"chat.a","data":{"text":"once"}}'
  echo
done
