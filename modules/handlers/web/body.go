package web

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// AcceptEncoding is the value of a request's Accept-Encoding header: the encodings that Decoded supports.
const AcceptEncoding = "gzip, deflate"

// Decoded returns the body of a response without its content encodings. Apply a size limit to what is read from it,
// because a few bytes of gzip may expand to very many. The error is for an encoding that is unknown or invalid.
func Decoded(resp *http.Response) (io.Reader, error) {
	var body io.Reader = resp.Body
	codings := strings.Split(strings.Join(resp.Header.Values("Content-Encoding"), ","), ",")
	for i := len(codings) - 1; i >= 0; i-- { // the last one was applied last
		coding := strings.ToLower(strings.TrimSpace(codings[i]))
		switch coding {
		case "", "identity":
			continue
		case "gzip", "x-gzip", "deflate":
		default:
			return nil, fmt.Errorf("the answer is encoded as %q, which was not asked for: gzip and deflate can be read",
				coding)
		}
		in := bufio.NewReader(body)
		if _, err := in.Peek(1); err == io.EOF {
			return in, nil // a response to HEAD or with status 204 has nothing to decode
		}
		next, err := decoder(coding, in)
		if err != nil {
			return nil, fmt.Errorf("the answer says that it is encoded as %s and is not: %w", coding, err)
		}
		body = next
	}
	return body, nil
}

func decoder(coding string, in *bufio.Reader) (io.Reader, error) {
	if coding != "deflate" {
		return gzip.NewReader(in)
	}
	// RFC 9110 defines deflate as zlib, but some servers send the raw stream, and all clients accept it.
	if head, err := in.Peek(2); err == nil && (head[0]&0x0f != 8 || (int(head[0])<<8|int(head[1]))%31 != 0) {
		return flate.NewReader(in), nil
	}
	return zlib.NewReader(in)
}
