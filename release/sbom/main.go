// Command sbom lists the components of built programs, as CycloneDX 1.6 in JSON (cyclonedx.org/docs/1.6/json).
//
//	go run ./release/sbom -version v1.2.0 -libraries libc6-dev:amd64,libseccomp-dev:amd64 -pages web/dist/licenses.txt PROGRAM... >sbom.cdx.json
//
// The Go modules are those that the linker wrote into the programs ("go version -m" prints them). The libraries are the
// Debian packages that mayfly-shim is statically linked with, which no Go tool knows. The npm packages are those whose code is
// in the pages of mayflyd, as their build lists them.
package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

type document struct {
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
	Depends     []depends   `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp,omitempty"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Licenses   []licensed `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type licensed struct {
	License license `json:"license"`
}

type license struct {
	ID string `json:"id"`
}

type depends struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

func main() {
	version := flag.String("version", "dev", "the version of the programs")
	libraries := flag.String("libraries", "", "Debian packages, separated by commas, that mayfly-shim is linked with")
	pages := flag.String("pages", "", "the list of the npm packages in mayflyd's pages, with their licenses")
	flag.Parse()
	if err := write(os.Stdout, *version, *libraries, *pages, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, version, libraries, pages string, programs []string) error {
	if len(programs) == 0 {
		return errors.New("name the programs")
	}
	d := document{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{
		Component: component{Type: "application", Ref: "mayfly", Name: "mayfly", Version: version},
	}}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		d.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	debian, err := debianPackages(libraries)
	if err != nil {
		return err
	}
	npm, err := npmPackages(pages)
	if err != nil {
		return err
	}
	all := map[string]component{}
	whole := depends{Ref: d.Metadata.Component.Ref}
	for _, path := range programs {
		p := component{Type: "application", Ref: filepath.Base(path), Name: filepath.Base(path), Version: version}
		if p.Ref == "mayfly" {
			p.Ref = "mayfly-command"
		}
		parts, err := modules(path)
		if err != nil {
			return err
		}
		switch p.Name {
		case "mayfly-shim":
			parts = append(parts, debian...)
		case "mayflyd":
			parts = append(parts, npm...)
		}
		on := depends{Ref: p.Ref}
		for _, c := range parts {
			all[c.Ref] = c
			on.On = append(on.On, c.Ref)
		}
		slices.Sort(on.On)
		all[p.Ref] = p
		whole.On = append(whole.On, p.Ref)
		d.Depends = append(d.Depends, on)
	}
	d.Depends = append([]depends{whole}, d.Depends...)
	for _, c := range all {
		d.Components = append(d.Components, c)
	}
	slices.SortFunc(d.Components, func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}

// modules returns the Go modules of a program, and Go's standard library.
func modules(path string) ([]component, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	std := strings.TrimPrefix(info.GoVersion, "go")
	list := []component{{Type: "library", Ref: "pkg:golang/std@" + std, Name: "std", Version: std, PURL: "pkg:golang/std@" + std}}
	for _, m := range info.Deps {
		list = append(list, moduleComponent(m))
	}
	return list, nil
}

func moduleComponent(m *debug.Module) component {
	if m.Replace != nil {
		m = m.Replace
	}
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum != "" { // a hash as in go.sum, which isn't the hash of a file
		c.Properties = []property{{"mayfly:go-sum", m.Sum}}
	}
	return c
}

// debianPackages returns installed packages, given separated by commas, with their versions.
func debianPackages(names string) ([]component, error) {
	var list []component
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			continue
		}
		out, err := exec.Command("dpkg-query", "-W", "-f=${Package} ${Version} ${Architecture}", name).Output()
		if err != nil {
			return nil, fmt.Errorf("the Debian package %s isn't installed: %w", name, err)
		}
		f := strings.Fields(string(out))
		if len(f) != 3 {
			return nil, fmt.Errorf("dpkg-query says of the Debian package %s: %q", name, out)
		}
		purl := "pkg:deb/debian/" + f[0] + "@" + strings.ReplaceAll(f[1], "+", "%2B") + "?arch=" + f[2]
		list = append(list, component{Type: "library", Ref: purl, Name: f[0], Version: f[1], PURL: purl})
	}
	return list, nil
}

// npmPackages returns the packages that a file names in lines "==== npm package NAME@VERSION, LICENSE: FILE". It is written by web/licenses.ts.
func npmPackages(path string) ([]component, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []component
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, "==== npm package ")
		if !found {
			continue
		}
		full, rest, _ := strings.Cut(rest, ", ")
		id, _, _ := strings.Cut(rest, ": ")
		at := strings.LastIndex(full, "@")
		if at < 1 || id == "" {
			return nil, fmt.Errorf("%s: no package in %q", path, line)
		}
		name, version := full[:at], full[at+1:]
		purl := "pkg:npm/" + strings.ReplaceAll(name, "@", "%40") + "@" + strings.ReplaceAll(version, "+", "%2B")
		c := component{Type: "library", Ref: purl, Name: name, Version: version, Licenses: []licensed{{license{id}}}, PURL: purl}
		if !slices.ContainsFunc(list, func(other component) bool { return other.Ref == c.Ref }) { // it may have several licenses
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no packages", path)
	}
	return list, nil
}
