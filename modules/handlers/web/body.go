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

// AcceptEncoding is the header by which a request says what Decoded can read.
const AcceptEncoding = "gzip, deflate"

// Decoded is the body of an answer without its content encodings. A limit on its size has to be one on what is read from it: some
// bytes of gzip may become very many.
func Decoded(resp *http.Response) (io.Reader, error) {
	var body io.Reader = resp.Body
	codings := strings.Split(strings.Join(resp.Header.Values("Content-Encoding"), ","), ",")
	for i := len(codings) - 1; i >= 0; i-- { // the last was applied last
		coding := strings.ToLower(strings.TrimSpace(codings[i]))
		switch coding {
		case "", "identity":
			continue
		case "gzip", "x-gzip", "deflate":
		default:
			return nil, fmt.Errorf("the answer is encoded as %q, which was not asked for: gzip and deflate can be read", coding)
		}
		in := bufio.NewReader(body)
		if _, err := in.Peek(1); err == io.EOF {
			return in, nil // to HEAD, or with 204: there is nothing to decode
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
	// By RFC 9110 this is zlib; some servers send the bare stream, and everybody reads it.
	if head, err := in.Peek(2); err == nil && (head[0]&0x0f != 8 || (int(head[0])<<8|int(head[1]))%31 != 0) {
		return flate.NewReader(in), nil
	}
	return zlib.NewReader(in)
}
