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

// answer is the output of a task that made a request.
type answer struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`            // those of keptHeaders that the answer has, in lower case
	Bytes    int64             `json:"bytes"`              // length of the body
	Body     any               `json:"body,omitempty"`     // JSON as it came if the content type says so, else text; not with save_as
	Encoding string            `json:"encoding,omitempty"` // "base64" for a body that is neither
	Path     string            `json:"path,omitempty"`     // with save_as: where the body is, absolute
}

// keptHeaders are few, for others may hold secrets (cookies) and the history is not rewritten.
var keptHeaders = []string{"Content-Type", "Etag", "Last-Modified", "Location"}

func newAnswer(resp *nethttp.Response, size int64) *answer {
	a := &answer{Status: resp.StatusCode, Headers: map[string]string{}, Bytes: size}
	for _, name := range keptHeaders {
		if value := resp.Header.Get(name); value != "" {
			a.Headers[strings.ToLower(name)] = tasks.CleanText(value, tasks.MaxError)
		}
	}
	return a
}

// read takes the body into the output: JSON if it says that it is, else text, else, for bytes that are no text, base64.
func read(resp *nethttp.Response, body *limitedBody) (*answer, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err, body.limit)
	}
	a := newAnswer(resp, body.n)
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
		// It may be a page of some proxy, or cut short; the next attempt may get what was asked for.
		return nil, tasks.WithKind(tasks.KindHTTP, fmt.Errorf("the answer says that it is JSON and is not: it starts with %q",
			tasks.CleanText(string(text[:min(len(text), errorStart)]), errorStart)))
	}
	a.Body = json.RawMessage(text)
	return a, nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
