package tooltest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
	"github.com/mayfly-run/mayfly/internal/suite"
	"go.yaml.in/yaml/v3"
)

// writeMocks writes the mocks of one test to a file, in place of those that the test had there. The rest of the file stays
// unchanged.
func writeMocks(file, test string, list *yaml.Node) error {
	doc := &yaml.Node{}
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		data = []byte("# Recorded by mayfly test --record. Read it before you share it: only known secrets are masked.\n{}\n")
	case err != nil:
		return err
	}
	if err := yaml.Unmarshal(data, doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s is not a file of mocks; remove it, or name another file under mocks", file)
	}
	root := doc.Content[0]
	root.Style = 0
	tests := entry(root, "tests")
	one := entry(tests, test)
	*entry(one, "http") = *list
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return err
	}
	// Otherwise only the next run would find mocks that can't be read back.
	if _, err := suite.ParseMocks(file, out.Bytes()); err != nil {
		return fmt.Errorf("what was recorded can't be written as mocks: %w", err)
	}
	return replaceFile(file, out.Bytes())
}

// entry returns the mapping under a key. It adds the key if it is missing, and replaces a value that isn't a mapping, except
// that of http.
func entry(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			if n.Content[i+1].Kind != yaml.MappingNode && key != "http" {
				n.Content[i+1] = &yaml.Node{Kind: yaml.MappingNode}
			}
			return n.Content[i+1]
		}
	}
	n.Style = 0
	put(n, key, &yaml.Node{Kind: yaml.MappingNode})
	return n.Content[len(n.Content)-1]
}

// replaceFile writes a file that everyone may read, so that nobody sees a half of it.
func replaceFile(file string, data []byte) error {
	f, err := atomicfile.Create(file, atomicfile.Options{Prefix: ".mayfly-"})
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644)); err == nil {
		err = f.Commit()
	}
	return errors.Join(err, f.Close())
}
