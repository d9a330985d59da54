#!/bin/bash
# Does the features that its arguments name, with GNU wget, and prints each outcome.
get() {
  : >/tmp/body
  wget --tries=1 -S -O /tmp/body "$@" 2>/tmp/error
  code=$(sed -n 's|^  HTTP/1.1 \([0-9]*\) .*|\1|p' /tmp/error | tail -n 1)
  if [ -n "$code" ]; then
    echo $code $(cat /tmp/body)
  elif grep -q 'Connection reset' /tmp/error; then
    echo reset
  elif grep -q 'Error in the pull function' /tmp/error; then
    echo cut # GnuTLS reports a reset like this
  elif grep -q 'timed out' /tmp/error; then
    echo timed out
  elif grep -q 'refused' /tmp/error; then
    echo refused
  else
    echo $(cat /tmp/error)
  fi
}
body='Content-Type: application/json'
one() {
  case $1 in
    http-name) get http://no.such.example/hello ;;
    https-name) get https://no.such.example/hello ;;
    localhost) get http://localhost:8080/hello ;;
    127.0.0.1) get http://127.0.0.1:8081/hello ;;
    ::1) get 'http://[::1]:8082/hello' ;;
    localhost-tls) get https://localhost:8443/hello ;;
    ipv4) get http://93.184.216.34/hello ;;
    ipv4-tls) get https://93.184.216.34/hello ;;
    ipv6-tls) get 'https://[2001:db8::1]/hello' ;;
    keep-alive) wget --tries=1 -S -O /dev/null http://keep.example/hello http://keep.example/hello http://keep.example/hello 2>&1 | sed -n 's|^  HTTP/1.1 \([0-9]*\) .*|\1|p' | xargs ;;
    gzip) get --compression=auto http://api.example/zipped ;;
    gzip-request) printf '{"zipped": true}' | gzip >/tmp/zipped; get --header "$body" --header 'Content-Encoding: gzip' --post-file=/tmp/zipped http://api.example/unzipped ;;
    redirects) get http://old.example/moved ;;
    redirect-post) get --header "$body" --post-data='{"kept": true}' http://api.example/kept ;;
    head) get --spider http://api.example/hello ;;
    no-content) get http://api.example/none ;;
    delay) get http://api.example/late ;;
    reset) get http://api.example/reset ;;
    never) get --timeout=1 http://api.example/never ;;
    sequence) for _ in 1 2 3; do get http://api.example/sequence | cut -d' ' -f1; done | xargs ;;
    parallel) for i in {1..50}; do wget --tries=1 -q -O - http://together.example/together & done | grep -o together | wc -l ;;
    own-server)
      busybox httpd -p 127.0.0.1:9000 -h /tools
      get http://127.0.0.1:9000/own.txt
      ;;
    other-port) get http://127.0.0.1:9001/hello ;;
    unmatched) get http://no.such.example/hallo ;;
    unmatched-tls) get https://no.such.example/hallo ;;
    denied) get http://denied.example/hello ;;
    *) echo unknown ;;
  esac
}
for feature; do printf '%s\t%s\n' "$feature" "$(one "$feature")"; done
