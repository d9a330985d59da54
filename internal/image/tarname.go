package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Whiteouts of a layer's tar: image-spec, layer.md, "Whiteouts".
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// aufsLeftovers are what Docker's first storage driver left in layers, and every reader since has skipped.
var aufsLeftovers = map[string]bool{".wh..wh.plnk": true, ".wh..wh.aufs": true, ".wh..wh.orph": true}

func hostile(format string, args ...any) error {
	return &Error{Kind: ErrHostile, Msg: fmt.Sprintf(format, args...)}
}

// cleanName makes a name of a tar relative to the layer: "." for its root, else components without "..", "." and empty
// ones. A leading slash is dropped, as every tar reader does. What has no honest use is refused.
func cleanName(name string, maxDepth int) (string, error) {
	if strings.ContainsRune(name, 0) {
		return "", hostile("name %q contains a zero byte", name)
	}
	if len(name) > maxPathBytes {
		return "", hostile("name has %d bytes; the limit is %d", len(name), maxPathBytes)
	}
	depth := 0
	for c := range strings.SplitSeq(name, "/") {
		if c == ".." {
			return "", hostile("name %q contains ..", name)
		}
		if len(c) > maxNameBytes {
			return "", hostile("name %.40q… has a component of %d bytes; the limit is %d", name, len(c), maxNameBytes)
		}
		if c != "" && c != "." {
			depth++
		}
	}
	if depth > maxDepth {
		return "", &Error{Kind: ErrBudget, Msg: fmt.Sprintf("name %.40q… is %d deep; the limit is %d", name, depth, maxDepth)}
	}
	return path.Clean("./" + strings.TrimLeft(name, "/")), nil
}

// whiteout is what a name asks to hide.
type whiteout int

const (
	hidesNothing whiteout = iota
	hidesSibling          // .wh.NAME hides NAME of the layers below
	hidesBelow            // .wh..wh..opq hides all that the layers below have in this directory
	leftover              // to be skipped
)

// readWhiteout says what the clean name hides and, for hidesSibling, the sibling's base name. Names that could make a
// whiteout of something else than one plain sibling are refused.
func readWhiteout(clean string, typ byte) (whiteout, string, error) {
	dir, base := path.Split(clean)
	for c := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if aufsLeftovers[c] {
			return leftover, "", nil
		}
		if strings.HasPrefix(c, whiteoutPrefix) {
			return 0, "", hostile("name %q is inside a whiteout", clean)
		}
	}
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return hidesNothing, "", nil
	}
	if aufsLeftovers[base] {
		return leftover, "", nil
	}
	if base == whiteoutOpaque {
		if dir == "" {
			return 0, "", hostile("whiteout %q hides the whole image below it, which overlayfs can't do", clean)
		}
		return hidesBelow, "", nil
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." || strings.HasPrefix(hidden, whiteoutPrefix) {
		return 0, "", hostile("whiteout %q doesn't name a file to hide", clean)
	}
	if typ == tar.TypeDir {
		return 0, "", hostile("whiteout %q is a directory", clean)
	}
	return hidesSibling, hidden, nil
}

// keptXattrs are the extended attributes of an entry that a layer may set: user.*, except for what overlayfs reads.
// Everything else (security.capability, trusted.overlay.*, system.posix_acl_*) would be power.
func keptXattrs(h *tar.Header) map[string]string {
	var kept map[string]string
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, "SCHILY.xattr.")
		if !ok || !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[name] = v
	}
	return kept
}

// tarError gives a damaged tar its kind.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return malformed("layer tar", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: ErrTruncated, Msg: "layer tar", Err: err}
	}
	return err
}
