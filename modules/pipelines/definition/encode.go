package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Encode returns the document that a run pins and the definition's version (see VersionOf). Definitions with equal
// settings have equal versions, however they were written. Encode fails if the definition was not created by Parse or
// Decode or validated by Check.
func (d *Definition) Encode() (doc []byte, version string, err error) {
	if d.index == nil {
		return nil, "", errors.New("encode definition: it has not been checked")
	}
	doc, err = jsonvalue.Encode(d)
	if err != nil {
		return nil, "", fmt.Errorf("encode definition: %w", err)
	}
	if version, err = VersionOf(doc); err != nil {
		return nil, "", fmt.Errorf("encode definition: %w", err)
	}
	return doc, version, nil
}

// VersionOf returns the version of a document: the first 16 hex digits of the SHA-256 of its canonical form
// (docs/seal.md). It does not depend on the database that stored the document.
func VersionOf(doc []byte) (string, error) {
	canonical, err := dbtype.JSON(doc).Canonical()
	if err != nil {
		return "", err
	}
	return version(canonical), nil
}

func version(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:8])
}

// HasVersion reports whether a stored document has a version. It also accepts versions from before the canonical
// form, which are hashes of the document with its keys in the order of the Go types.
func HasVersion(doc []byte, v string) bool {
	now, err := VersionOf(doc)
	return err == nil && (now == v || formerVersion(doc) == v)
}

// formerVersion returns the version that a document had before the canonical form, or the empty string if the
// document is not a definition.
func formerVersion(doc []byte) string {
	d, err := decode(doc)
	if err != nil {
		return ""
	}
	raw := make([]*json.RawMessage, 0, len(d.Tasks)+len(d.Input))
	for i := range d.Tasks {
		raw = append(raw, &d.Tasks[i].With)
	}
	for i := range d.Input {
		raw = append(raw, &d.Input[i].Default)
	}
	for _, r := range raw {
		if v, err := jsonvalue.Decode(*r); err == nil {
			*r = jsonvalue.MustEncode(v) // a database may have reordered its keys
		}
	}
	return version(jsonvalue.MustEncode(d))
}

// Decode parses a document written by Encode. It needs no catalog, because a run keeps the definition that it started
// with even if a handler has been removed since. It checks only what is needed to run, so that pinned definitions
// stay readable when later releases have stricter checks.
func Decode(doc []byte) (*Definition, error) {
	d, err := decode(doc)
	if err != nil {
		return nil, fmt.Errorf("decode pinned definition: %w", err)
	}
	r := &yamlfile.Decoder{}
	for i := range d.Input {
		if err := d.Input[i].compilePattern(); err != nil {
			return nil, fmt.Errorf("decode pinned definition: the pattern of the input field %s: %w", d.Input[i].Name,
				err)
		}
	}
	d.buildGraph(r)
	d.compile(r)
	if err := failure("", r); err != nil {
		return nil, fmt.Errorf("decode pinned definition: %w", err)
	}
	return d, nil
}

func decode(doc []byte) (*Definition, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	d := &Definition{}
	return d, dec.Decode(d)
}
