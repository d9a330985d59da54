package audit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// chain returns a log of n entries, as it is after it was JSON.
func chain(t *testing.T, n int) []Entry {
	t.Helper()
	var all []Entry
	head := Head{Hash: First}
	for i := range n {
		e := Entry{Actor: "ada", Action: "create-run", Project: "p", Subject: "runs/" + strings.Repeat("é", i), Outcome: OK, Details: map[string]string{"tool": "t", "a": "b"}}
		e.Follow(head, time.UnixMilli(1700000000123+int64(i)))
		head = e.Head()
		all = append(all, e)
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var read []Entry
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

func verify(all []Entry, known string) (*Verifier, error) {
	v := &Verifier{Known: known}
	for i := range all {
		if err := v.Add(&all[i]); err != nil {
			return v, err
		}
	}
	return v, v.End()
}

// anew gives an entry the hash of its fields, as someone would who knows how.
func anew(e *Entry) { e.Hash = e.hash() }

func TestVerify(t *testing.T) {
	whole := chain(t, 6)
	for name, c := range map[string]struct {
		change func(all []Entry) []Entry
		at     int64 // the entry that doesn't fit
	}{
		"actor":            {func(all []Entry) []Entry { all[2].Actor = "eve"; return all }, 3},
		"actor's project":  {func(all []Entry) []Entry { all[2].ActorProject = "q"; return all }, 3},
		"address":          {func(all []Entry) []Entry { all[2].Address = "10.0.0.1"; return all }, 3},
		"action":           {func(all []Entry) []Entry { all[2].Action = "x"; return all }, 3},
		"project":          {func(all []Entry) []Entry { all[2].Project = "q"; return all }, 3},
		"subject":          {func(all []Entry) []Entry { all[2].Subject = "x"; return all }, 3},
		"outcome":          {func(all []Entry) []Entry { all[2].Outcome = "forbidden"; return all }, 3},
		"time":             {func(all []Entry) []Entry { all[2].Time = all[2].Time.Add(time.Millisecond); return all }, 3},
		"detail":           {func(all []Entry) []Entry { all[2].Details["tool"] = "u"; return all }, 3},
		"a detail more":    {func(all []Entry) []Entry { all[2].Details["b"] = ""; return all }, 3},
		"number":           {func(all []Entry) []Entry { all[2].Number = 30; return all }, 30},
		"text moved":       {func(all []Entry) []Entry { all[2].Project, all[2].Subject = "pr", all[2].Subject[1:]; return all }, 3},
		"changed and anew": {func(all []Entry) []Entry { all[2].Actor = "eve"; anew(&all[2]); return all }, 4},
		"removed":          {func(all []Entry) []Entry { return slices.Delete(all, 2, 3) }, 4},
		"removed and anew": {func(all []Entry) []Entry {
			all = slices.Delete(all, 2, 3)
			all[2].Number = 3
			anew(&all[2])
			return all
		}, 3},
		"inserted": {func(all []Entry) []Entry { return slices.Insert(all, 3, all[2]) }, 3},
		"inserted anew": {func(all []Entry) []Entry {
			e := all[2]
			e.Follow(all[2].Head(), e.Time)
			return slices.Insert(all, 3, e)
		}, 4},
		"swapped":              {func(all []Entry) []Entry { all[2], all[3] = all[3], all[2]; return all }, 4},
		"another first":        {func(all []Entry) []Entry { all[0].Previous = all[5].Hash; anew(&all[0]); return all }, 1},
		"a number before all":  {func(all []Entry) []Entry { all[0].Number = -1; anew(&all[0]); return all }, -1},
		"renumbered up":        {func(all []Entry) []Entry { all[5].Number = 30; anew(&all[5]); return all }, 30},
		"renumbered down":      {func(all []Entry) []Entry { all[5].Number = 2; anew(&all[5]); return all }, 2},
		"the last one changed": {func(all []Entry) []Entry { all[5].Outcome = "x"; return all }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify(c.change(chain(t, 6)), whole[5].Hash)
			var broken *BrokenError
			if !errors.As(err, &broken) || broken.Number != c.at {
				t.Errorf("got %v, want it to be broken at %d", err, c.at)
			}
		})
	}
	v, err := verify(whole, whole[3].Hash)
	if err != nil || v.First() != 1 || v.Head() != whole[5].Head() {
		t.Errorf("the whole log: %v, from %d to %+v", err, v.First(), v.Head())
	}
	if v, err := verify(whole[2:], ""); err != nil || v.First() != 3 {
		t.Errorf("a part of the log: %v, from %d", err, v.First())
	}
	if _, err := verify(whole[:4], ""); err != nil {
		t.Errorf("the end is cut off, and no head is known: %v", err)
	}
	var broken *BrokenError
	if _, err := verify(whole[:4], whole[5].Hash); !errors.As(err, &broken) || broken.Number != 0 {
		t.Errorf("the end is cut off: %v", err)
	}
}

// TestHash has the hash of one entry as another program computes it from the documentation:
//
//	printf '64:%064d,1:7,13:1700000000123,3:ada,1:p,0:,3:act,0:,3:é!,2:ok,1:a,1:1,1:b,0:,' 0 | sha256sum
func TestHash(t *testing.T) {
	e := Entry{Actor: "ada", ActorProject: "p", Action: "act", Subject: "é!", Outcome: OK, Details: map[string]string{"b": "", "a": "1"}}
	e.Follow(Head{6, First}, time.UnixMilli(1700000000123))
	if want := "9a595f683bf569f19380f778cba134fac424f4255567d10858a08d9b06e09221"; e.Hash != want {
		t.Errorf("got %s, want %s", e.Hash, want)
	}
}

// TestCleanTexts has texts that databases or JSON would change.
func TestCleanTexts(t *testing.T) {
	e := Entry{Subject: "a\x00b\xff" + strings.Repeat("é", 1000), Details: map[string]string{"k\xff": "\x00"}}
	e.Follow(Head{Hash: First}, time.Now())
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var read Entry
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if err := (&Verifier{}).Add(&read); err != nil {
		t.Error(err)
	}
	if strings.ContainsRune(read.Subject, 0) || len(read.Subject) > maxText+8 || read.Details["k\uFFFD"] != "\uFFFD" {
		t.Errorf("read %+v", read)
	}
}

// TestRemoved has the beginning of a log removed, with and without the entry that says so.
func TestRemoved(t *testing.T) {
	whole := chain(t, 6)
	told := Removal(whole[2].Head(), 3)
	told.Follow(whole[5].Head(), time.Now())
	forged := told
	forged.Actor = "eve"
	forged.Follow(whole[5].Head(), time.Now())
	begin := whole[2].Head()
	for name, c := range map[string]struct {
		log   []Entry
		begin Head
		known string
		want  string
	}{
		"whole":                 {whole, Head{Hash: First}, "", ""},
		"removed":               {append(slices.Clone(whole[3:]), told), begin, "", ""},
		"removed, and known":    {append(slices.Clone(whole[3:]), told), begin, whole[2].Hash, ""},
		"the known one is gone": {append(slices.Clone(whole[3:]), told), begin, whole[1].Hash, "no entry from 4 to 7 has the hash"},
		"no entry says so":      {whole[3:], begin, "", "broken at entry 4: it is the first one, and no entry says"},
		"someone else says so":  {append(slices.Clone(whole[3:]), forged), begin, "", "no entry says"},
		"more are gone":         {append(slices.Clone(whole[4:]), told), begin, "", "broken at entry 5: it is the first one, and the server says that entry 3 was the last"},
		"the server says none":  {append(slices.Clone(whole[3:]), told), Head{Hash: First}, "", "says that entry 0 was the last"},
		"it says another hash":  {append(slices.Clone(whole[3:]), told), Head{3, First}, "", "others were removed too"},
	} {
		v, err := verify(c.log, c.known)
		if err == nil {
			err = v.Begins(&c.begin)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if gone := v.Removed(); c.want == "" && (gone != nil) != (len(c.log) == 4) || gone != nil && gone.Number != 7 {
			t.Errorf("%s: removed by %+v", name, gone)
		}
	}
}
