package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// The names of whiteouts in a layer's tar (image-spec, layer.md, "Whiteouts").
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// aufsLeftovers are names that Docker's first storage driver left in layers. All readers skip them.
var aufsLeftovers = map[string]bool{".wh..wh.plnk": true, ".wh..wh.aufs": true, ".wh..wh.orph": true}

func hostile(format string, args ...any) error {
	return &Error{Kind: ErrHostile, Msg: fmt.Sprintf(format, args...)}
}

// cleanName makes a name in a tar relative to the layer. The result is "." for the root, and otherwise has no empty components, "."
// or "..". It drops leading slashes, as tar readers do, and returns an error for names without a legitimate use.
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

// whiteout says what a name hides.
type whiteout int

const (
	hidesNothing whiteout = iota
	hidesSibling          // .wh.NAME hides NAME in the layers below
	hidesBelow            // .wh..wh..opq hides everything that the layers below have in this directory
	leftover              // an aufs leftover, which is skipped
)

// readWhiteout says what a clean name hides and, for hidesSibling, returns the sibling's base name. It returns an error for a whiteout
// that would hide anything except one sibling.
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

// keptXattrs returns the extended attributes of an entry that a layer may set: user.*, except those that overlayfs reads. All others
// (security.capability, trusted.overlay.*, system.posix_acl_*) would give privileges.
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

// tarError makes the error of a damaged tar one of kind ErrMalformed or ErrTruncated. It returns any other error unchanged.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return malformed("layer tar", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: ErrTruncated, Msg: "layer tar", Err: err}
	}
	return err
}
