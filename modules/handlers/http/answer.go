package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	nethttp "net/http"
	"strings"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// answer is the output of a task that made a request.
type answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`        // those of keptHeaders that the answer has, in lower case
	Bytes   int64             `json:"bytes"`          // length of the body
	Body    any               `json:"body,omitempty"` // JSON as it came if the content type says so, else text; not with save_as
	Path    string            `json:"path,omitempty"` // with save_as: where the body is
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

// read takes the body into the output. In text, bytes that are not UTF-8 become question marks: a file keeps them.
func read(resp *nethttp.Response, body *limitedBody) (*answer, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err, body.limit)
	}
	a := newAnswer(resp, body.n)
	if !isJSON(resp.Header.Get("Content-Type")) {
		a.Body = tasks.CleanText(string(raw), tasks.MaxOutput)
		return a, nil
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return a, nil
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		// It may be a page of some proxy, or cut short; the next attempt may get what was asked for.
		return nil, tasks.WithKind(tasks.KindHTTP, fmt.Errorf("the answer says that it is JSON and is not: it starts with %q",
			tasks.CleanText(string(raw[:min(len(raw), errorStart)]), errorStart)))
	}
	a.Body = json.RawMessage(raw)
	return a, nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
