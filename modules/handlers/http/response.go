package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	nethttp "net/http"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// response is the output of an http task.
type response struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`            // those of keptHeaders that are present, in lower case
	Bytes    int64             `json:"bytes"`              // length of the body
	Body     any               `json:"body,omitempty"`     // a JSON value or text; absent with save_as
	Encoding string            `json:"encoding,omitempty"` // "base64" if the body is neither JSON nor text
	Path     string            `json:"path,omitempty"`     // with save_as: the absolute path of the saved body
}

// keptHeaders are the response headers that the output records. The list is short because other headers may hold
// secrets, such as cookies, and the history is never rewritten.
var keptHeaders = []string{"Content-Type", "Etag", "Last-Modified", "Location"}

func newResponse(resp *nethttp.Response, size int64) *response {
	a := &response{Status: resp.StatusCode, Headers: map[string]string{}, Bytes: size}
	for _, name := range keptHeaders {
		if value := resp.Header.Get(name); value != "" {
			a.Headers[strings.ToLower(name)] = tasks.SanitizeText(value, tasks.MaxError)
		}
	}
	return a
}

// read returns an answer with the body: as JSON if the content type declares JSON, else as text, else, if the bytes
// are not valid text, in base64.
func read(resp *nethttp.Response, body *limitedBody) (*response, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err, body.limit)
	}
	a := newResponse(resp, body.n)
	contentType := resp.Header.Get("Content-Type")
	text, ok, err := toUTF8(raw, contentType)
	if err != nil {
		return nil, tasks.WithKind(tasks.KindHTTP, err)
	}
	if !isJSON(contentType) {
		if a.Body = string(text); !ok || bytes.IndexByte(text, 0) >= 0 {
			a.Body, a.Encoding = inBase64(raw), "base64"
		}
		return a, nil
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return a, nil
	}
	if !ok || !json.Valid(text) {
		// The body may be a proxy's error page or truncated. The next attempt may get the right one.
		return nil, tasks.WithKind(tasks.KindHTTP,
			fmt.Errorf("the answer says that it is JSON and is not: it starts with %q",
				tasks.SanitizeText(string(text[:min(len(text), errorStart)]), errorStart)))
	}
	a.Body = json.RawMessage(text)
	return a, nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
