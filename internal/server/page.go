package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mayfly-run/mayfly/internal/api"
)

// The page of the API is its description as HTML, for people. It has no script, and loads nothing.

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// apiPage is what the template shows.
type apiPage struct {
	Style      template.CSS
	Document   string
	Operations []pageOperation
	Schemas    []pageSchema
}

type pageOperation struct {
	ID, Method, Path, Role, Summary string
	Parameters                      []pageField
	Request                         []pageBody
	Answers                         []pageBody
}

// pageBody is a body with its media type. An answer has a status, and may have no body.
type pageBody struct {
	Status, Kind string
	Type         pageType
}

type pageSchema struct {
	Name, About string
	Fields      []pageField
	OneOf       []pageType
}

// pageField is a field of an object, or a parameter, which is In a part of the request.
type pageField struct {
	Name, In, About string
	Required        bool
	Type            pageType
}

// pageType is Text, and a link to the schema Ref if that isn't empty.
type pageType struct{ Text, Ref, More string }

// servePage serves the page at two addresses.
func (s *Server) servePage() {
	s.serveFixed(func() fixed {
		text, policy := s.page()
		return fixed{"text/html; charset=utf-8", policy, text}
	}, api.Prefix+"/docs", api.Prefix+"/{$}")
}

// page returns the page, and the policy that lets a browser use its style and nothing else.
func (s *Server) page() (text []byte, policy string) {
	sum := sha256.Sum256([]byte(pageStyle))
	policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	doc := s.api.OpenAPI()
	view := apiPage{Style: template.CSS(pageStyle), Document: openAPI + ".json"} //nolint:gosec // it is our own file
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete} {
			if op != nil {
				view.Operations = append(view.Operations, pageOperationOf(op))
			}
		}
	}
	all := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		schema := all[name]
		one := pageSchema{Name: name, About: schema.Description}
		for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
			of := schema.Properties[field]
			one.Fields = append(one.Fields, pageField{Name: field, About: of.Description, Required: slices.Contains(schema.Required, field), Type: pageTypeOf(of)})
		}
		for _, of := range schema.OneOf {
			one.OneOf = append(one.OneOf, pageTypeOf(of))
		}
		view.Schemas = append(view.Schemas, one)
	}
	var out bytes.Buffer
	if err := template.Must(template.New("page").Parse(pageText)).Execute(&out, view); err != nil {
		panic(err) // a test makes it
	}
	return out.Bytes(), policy
}

func pageOperationOf(op *huma.Operation) pageOperation {
	role, _ := op.Metadata[roleKey].(string)
	out := pageOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Role: role, Summary: op.Summary}
	for _, p := range op.Parameters {
		about := p.Description
		if about == "" && p.Schema != nil {
			about = p.Schema.Description
		}
		out.Parameters = append(out.Parameters, pageField{Name: p.Name, In: p.In, About: about, Required: p.Required, Type: pageTypeOf(p.Schema)})
	}
	if op.RequestBody != nil {
		out.Request = pageBodiesOf("", op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if answer := op.Responses[status]; len(answer.Content) > 0 {
			out.Answers = append(out.Answers, pageBodiesOf(status, answer.Content)...)
		} else {
			out.Answers = append(out.Answers, pageBody{Status: status, Kind: "no body"})
		}
	}
	return out
}

func pageBodiesOf(status string, content map[string]*huma.MediaType) (all []pageBody) {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		one := pageBody{Status: status, Kind: kind, Type: pageTypeOf(content[kind].Schema)}
		if item, ok := content[kind].Extensions["x-itemSchema"].(*huma.Schema); ok {
			one.Type = pageTypeOf(item)
			one.Type.Text = "a stream of " + one.Type.Text
		}
		all = append(all, one)
	}
	return all
}

// pageTypeOf says what values a schema allows.
func pageTypeOf(s *huma.Schema) pageType {
	if s == nil {
		return pageType{}
	}
	if name, ok := strings.CutPrefix(s.Ref, components); ok {
		return pageType{Ref: name}
	}
	out := pageType{Text: s.Type}
	of, isSchema := s.AdditionalProperties.(*huma.Schema)
	switch {
	case s.Type == huma.TypeArray:
		item := pageTypeOf(s.Items)
		out = pageType{Text: strings.TrimSpace("list of " + item.Text), Ref: item.Ref, More: item.More}
	case s.Type == huma.TypeObject && isSchema:
		item := pageTypeOf(of)
		out = pageType{Text: strings.TrimSpace("map of " + item.Text), Ref: item.Ref, More: item.More}
	case s.Type == "":
		out.Text = "any"
	}
	var more []string
	if out.More != "" {
		more = append(more, out.More)
	}
	add := func(format string, args ...any) { more = append(more, fmt.Sprintf(format, args...)) }
	if s.Format != "" && s.Format != "int64" && s.Format != "double" {
		add("%s", s.Format)
	}
	if s.ContentEncoding != "" {
		add("%s", s.ContentEncoding)
	}
	if len(s.Enum) > 0 {
		add("one of %s", strings.Trim(fmt.Sprint(s.Enum...), "[]"))
	}
	number := func(name string, v *float64) {
		if v != nil {
			add("%s %s", name, strconv.FormatFloat(*v, 'f', -1, 64))
		}
	}
	length := func(name string, v *int, unit string) {
		if v != nil {
			add("%s %d %s", name, *v, unit)
		}
	}
	number("from", s.Minimum)
	number("to", s.Maximum)
	length("from", s.MinLength, "characters")
	length("to", s.MaxLength, "characters")
	length("from", s.MinItems, "items")
	length("to", s.MaxItems, "items")
	length("to", s.MaxProperties, "keys")
	if s.Pattern != "" {
		add("%s", s.Pattern)
	}
	if s.Default != nil {
		add("%v by default", s.Default)
	}
	out.More = strings.Join(more, ", ")
	return out
}
