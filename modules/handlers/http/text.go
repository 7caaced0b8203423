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

// marks are the byte order marks. A longer mark precedes the marks that are a prefix of it.
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

// toUTF8 returns the body as UTF-8. The encoding is that of the byte order mark, else the charset of the content
// type, else UTF-8. ok is false if the body is not valid text in that encoding. The error is for an unknown charset.
func toUTF8(raw []byte, contentType string) (text []byte, ok bool, err error) {
	for _, m := range marks {
		if rest, found := bytes.CutPrefix(raw, m.mark); found {
			return decoded(rest, m.of)
		}
	}
	_, params, _ := mime.ParseMediaType(contentType) // an invalid content type counts as none
	name := strings.ToLower(strings.TrimSpace(params["charset"]))
	switch name {
	case "", "utf-8", "utf8", "us-ascii":
		return decoded(raw, nil)
	case "utf-16":
		return decoded(raw, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)) // RFC 2781: big-endian if unmarked
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

// inBase64 returns the form of non-text bytes in an output.
func inBase64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
