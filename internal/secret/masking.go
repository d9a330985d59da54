package secret

// How masking works. [Redactor] says what is found; this page is how.
//
// # An index is made once, of all values (build.go)
//
//	value ──units──▶ unit ──encoder──▶ text ──addPart──▶ windows ──build──▶ index
//
//   - A unit is what is masked of a value: the whole, or the leaves of JSON or YAML (unit.go, leaf.go, classify.go). It
//     has segments (segment.go): the whole, and each line that is to be found without the others.
//   - A text is what one encoder makes of a unit (encode.go), or of another text: base64 of JSON. All texts lie one after another
//     in one array. The encoder says where the segments are in the text.
//   - A window is a piece of a text, of 32 bytes at most, that is looked for (index.go). A text that is shorter is one window. In a
//     longer one the windows of a segment follow one another, and the last one ends where the segment does:
//
//	text      kubectl-of-the-cluster-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	windows   ├──────────── 32 ──────────────┤├──────────── 32 ──────────────┤
//	                                                                 ├──────────── 32 ──────────────┤
//
//     So a part of a secret is found if it has a whole window in it. Windows of base64 and hexadecimal have 16 bytes, since
//     nothing else looks like them, and one more begins at the fifth byte: see join.go.
//   - The index has the windows sorted, so that a binary search finds the longest one that begins at some place, and two
//     bitmaps of hashes of their first bytes, so that nearly no place needs the search.
//
// Many encoders leave most of a text as it is. A window that another text of the unit has at the same place is left out: what it
// finds is found by the other. That, and the bounds in build.go, keeps an index small. A bound on a text sets its windows further
// apart.
//
// # A stream looks at each place (stream.go)
//
//	buf       ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
//	          ▲                  ▲                          ▲
//	          everything before  pos: every window that     what the stream was given
//	          it is written      begins before is found     ends here
//
// At pos:
//
//  1. skip goes to the next place that the bitmaps don't exclude.
//  2. find looks for the longest window that begins there, and findJoined for one with a line break in it. If the buffer ends
//     before it is clear, both wait for more bytes.
//  3. found masks the window: it becomes a span. Each text that has this window gets a follower, as far as maxSame and
//     maxFollowers allow. Short windows of plain text get none.
//  4. follow hands the byte at pos to the followers.
//
// # A follower finds where the secret ends (follow.go)
//
// Windows are pieces at fixed places, but what is printed of a secret ends anywhere, and base64(1) and xxd(1) break it into lines. A
// follower compares the stream with its text, byte for byte, from the end of a window on, and masks what agrees. It crosses a line
// break if the text goes on behind it:
//
//	text      Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZ
//	stream    key: Y29ycmVjdC1ob3JzZS1i⏎  YXR0ZXJ5L, done
//	               ├── window ────┤                        found: masked, and followed
//	                               ▶▶▶▶   ▶▶▶▶▶▶▶▶▶✕       agrees, crosses the break, differs at the comma
//	output    key: ***, done
//
// The bytes of a break are masked only when the text does go on: until then the follower holds them back (gap, matched). The row
// of a dump has an offset and characters around its numbers: dump.go.
//
// # What is decided is written (flush)
//
// All bytes before pos are decided, except those that a follower holds back. They are written with a mask in the place of each span. A span
// that reaches the first byte that is kept stays open: its mask is written, and what joins it later has none of its own.
//
// So at most maxHeld bytes are held back at the end of a Write. What comes out depends on the bytes alone, and not on how they
// are cut into writes: each decision is made when the bytes that it needs are there, or the stream has ended.
