package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Encode gives the document that a run pins, canonical JSON, and the definition's version: the first 16 hex digits of the
// document's SHA-256. Two definitions that mean the same settings have the same version, wherever they were written. It
// refuses a definition that has not been through Parse, Check or Decode.
func (d *Definition) Encode() (doc []byte, version string, err error) {
	if d.index == nil {
		return nil, "", errors.New("encode definition: it has not been checked")
	}
	doc, err = encode(d)
	if err != nil {
		return nil, "", fmt.Errorf("encode definition: %w", err)
	}
	sum := sha256.Sum256(doc)
	return doc, hex.EncodeToString(sum[:8]), nil
}

// Decode reads what Encode wrote. It needs no catalog: a run goes on with the definition it started with although a handler has
// gone since. It checks only what it builds upon, so that stricter checks of a later release leave pinned definitions readable.
func Decode(doc []byte) (*Definition, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	d := &Definition{}
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("decode pinned definition: %w", err)
	}
	r := &reporter{}
	d.link(r)
	d.compile(r)
	if err := r.err(); err != nil {
		return nil, fmt.Errorf("decode pinned definition: %w", err)
	}
	return d, nil
}
