package http

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// marks are the byte order marks, the longer before those that they begin with.
var marks = []struct {
	mark []byte
	of   encoding.Encoding // nil: UTF-8
}{
	{[]byte{0xef, 0xbb, 0xbf}, nil},
	{[]byte{0xff, 0xfe, 0, 0}, utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)},
	{[]byte{0, 0, 0xfe, 0xff}, utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)},
	{[]byte{0xff, 0xfe}, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
	{[]byte{0xfe, 0xff}, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)},
}

// toUTF8 gives a body as UTF-8: by its byte order mark, else by the charset of its content type, else it is taken for UTF-8.
// ok is false if it is no such text.
func toUTF8(raw []byte, contentType string) (text []byte, ok bool, err error) {
	for _, m := range marks {
		if rest, found := bytes.CutPrefix(raw, m.mark); found {
			return decoded(rest, m.of)
		}
	}
	_, params, _ := mime.ParseMediaType(contentType) // one that cannot be read declares nothing
	name := strings.ToLower(strings.TrimSpace(params["charset"]))
	switch name {
	case "", "utf-8", "utf8", "us-ascii":
		return decoded(raw, nil)
	case "utf-16":
		return decoded(raw, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)) // RFC 2781, of a text without a mark
	}
	of, err := htmlindex.Get(name)
	if err != nil {
		return nil, false, fmt.Errorf("the charset %q is not known: save_as keeps the bytes as they are", name)
	}
	return decoded(raw, of)
}

func decoded(raw []byte, of encoding.Encoding) ([]byte, bool, error) {
	if of == nil {
		return raw, utf8.Valid(raw), nil
	}
	text, err := of.NewDecoder().Bytes(raw)
	return text, err == nil && !bytes.ContainsRune(text, utf8.RuneError), nil
}

// inBase64 is how bytes that are no text stand in an output.
func inBase64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
