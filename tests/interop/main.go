// main: checks a folder of esrun's checkpoints and proofs with golang.org/x/mod's notes and trees, which share no code with
// it, then alters each of them in every part and demands that it is refused. Usage: main FOLDER
// Or makes such files itself, of the leaves, records and origin there, for esrun to check. Usage: main make FOLDER OUT
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var accepted, refused, wrong int

func accept(what string, err error) {
	if err != nil {
		wrong++
		fmt.Printf("WRONG %s was refused: %v\n", what, err)
		return
	}
	accepted++
}

func refuse(what string, err error) {
	if err == nil {
		wrong++
		fmt.Printf("WRONG %s was accepted\n", what)
		return
	}
	refused++
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

// A log is what an auditor holds: the key, and the leaves from which Go computes every root itself.
type log struct {
	verifiers note.Verifiers
	leaves    []tlog.Hash
	stored    []tlog.Hash
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = l.stored[index]
	}
	return out, nil
}

func readLog(folder string) *log {
	l := &log{}
	vkey, err := os.ReadFile(filepath.Join(folder, "vkey"))
	fail(err)
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	fail(err)
	l.verifiers = note.VerifierList(verifier)
	leaves, err := os.ReadFile(filepath.Join(folder, "leaves"))
	fail(err)
	for _, line := range strings.Fields(string(leaves)) {
		bytes, err := hex.DecodeString(line)
		fail(err)
		var leaf tlog.Hash
		copy(leaf[:], bytes)
		hashes, err := tlog.StoredHashesForRecordHash(int64(len(l.leaves)), leaf, l)
		fail(err)
		l.leaves = append(l.leaves, leaf)
		l.stored = append(l.stored, hashes...)
	}
	return l
}

// ---- Checkpoints ----------------------------------------------------------------------------------------------------

type checkpoint struct {
	size int64
	root tlog.Hash
}

func openCheckpoint(l *log, signed []byte) (*checkpoint, error) {
	opened, err := note.Open(signed, l.verifiers)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, fmt.Errorf("%d lines", len(lines))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	return &checkpoint{size, root}, err
}

func checkCheckpoint(l *log, signed []byte) error {
	c, err := openCheckpoint(l, signed)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(c.size, l)
	if err != nil {
		return err
	}
	if root != c.root {
		return fmt.Errorf("the root of %d leaves is %v, not %v", c.size, root, c.root)
	}
	return nil
}

// alterSigned calls try with the note, each byte of its text and of its signature changed in turn.
func alterSigned(signed []byte, try func([]byte)) {
	end := bytes.LastIndex(signed, []byte("\n\n"))
	for i := 0; i < end; i++ {
		altered := append([]byte(nil), signed...)
		altered[i] ^= 1
		try(altered)
	}
	at := bytes.LastIndexByte(signed, ' ') + 1
	signature, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signed[at:])))
	fail(err)
	for i := range signature {
		signature[i] ^= 1
		try([]byte(string(signed[:at]) + base64.StdEncoding.EncodeToString(signature) + "\n"))
		signature[i] ^= 1
	}
}

// ---- Proofs ---------------------------------------------------------------------------------------------------------

type proof struct {
	word   string // "index" or "old"
	number int64
	hashes []tlog.Hash
	signed []byte
}

func parseProof(file []byte) (*proof, error) {
	head, signed, found := strings.Cut(string(file), "\n\n")
	if !found {
		return nil, fmt.Errorf("no empty line")
	}
	lines := strings.Split(head, "\n")
	if lines[0] == "c2sp.org/tlog-proof@v1" {
		lines = lines[1:]
		if strings.HasPrefix(lines[0], "extra ") {
			lines = lines[1:]
		}
	}
	p := &proof{signed: []byte(signed)}
	word, number, _ := strings.Cut(lines[0], " ")
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, err
	}
	p.word, p.number = word, value
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		p.hashes = append(p.hashes, hash)
	}
	return p, nil
}

func checkInclusion(l *log, p *proof, leaf tlog.Hash) error {
	c, err := openCheckpoint(l, p.signed)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(p.hashes, c.size, c.root, p.number, leaf)
}

func checkConsistency(l *log, p *proof, old tlog.Hash) error {
	c, err := openCheckpoint(l, p.signed)
	if err != nil {
		return err
	}
	return tlog.CheckTree(p.hashes, c.size, c.root, p.number, old)
}

// alterProof calls try with the proof altered: each hash changed, dropped, doubled, one more, another number, another note.
func alterProof(p *proof, try func(*proof)) {
	var zero tlog.Hash
	for i := range p.hashes {
		altered := *p
		altered.hashes = append([]tlog.Hash(nil), p.hashes...)
		altered.hashes[i][i%len(zero)] ^= 1
		try(&altered)
		altered.hashes = append(append([]tlog.Hash(nil), p.hashes[:i]...), p.hashes[i+1:]...)
		try(&altered)
		altered.hashes = append(append([]tlog.Hash(nil), p.hashes[:i+1]...), p.hashes[i:]...)
		try(&altered)
	}
	more := *p
	more.hashes = append(append([]tlog.Hash(nil), p.hashes...), zero)
	try(&more)
	for _, number := range []int64{p.number - 1, p.number + 1} {
		other := *p
		other.number = number
		try(&other)
	}
	altered := *p
	altered.signed = append([]byte(nil), p.signed...)
	altered.signed[0] ^= 1
	try(&altered)
}

// ---- The folder -----------------------------------------------------------------------------------------------------

func checkFile(l *log, name string, file []byte) {
	switch filepath.Ext(name) {
	case ".checkpoint":
		accept(name, checkCheckpoint(l, file))
		alterSigned(file, func(altered []byte) { refuse("altered "+name, checkCheckpoint(l, altered)) })
	case ".tlog-proof":
		p, err := parseProof(file)
		fail(err)
		accept(name, checkInclusion(l, p, l.leaves[p.number]))
		other := l.leaves[(p.number+1)%int64(len(l.leaves))]
		if len(l.leaves) > 1 {
			refuse(name+" for another leaf", checkInclusion(l, p, other))
		}
		alterProof(p, func(altered *proof) { refuse("altered "+name, checkInclusion(l, altered, l.leaves[p.number])) })
	case ".consistency":
		p, err := parseProof(file)
		fail(err)
		old, err := tlog.TreeHash(p.number, l)
		fail(err)
		accept(name, checkConsistency(l, p, old))
		refuse(name+" for another tree", checkConsistency(l, p, tlog.Hash{}))
		alterProof(p, func(altered *proof) { refuse("altered "+name, checkConsistency(l, altered, old)) })
	}
}

// ---- The other way round: a signer that is not esrun -----------------------------------------------------------------

func write(folder, name, text string) {
	fail(os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
}

func signTree(l *log, origin string, size int64, signer note.Signer) string {
	root, err := tlog.TreeHash(size, l)
	fail(err)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)}, signer)
	fail(err)
	return string(signed)
}

func hashLines(hashes []tlog.Hash) string {
	text := ""
	for _, hash := range hashes {
		text += hash.String() + "\n"
	}
	return text
}

// The record that an event's proof carries ("extra BASE64"): its hash must be the leaf.
func recordLine(l *log, folder string, index int64) string {
	file, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("%d.tlog-proof", index+1)))
	fail(err)
	line := strings.Split(string(file), "\n")[1]
	record, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "extra "))
	fail(err)
	if tlog.RecordHash(record) != l.leaves[index] {
		fail(fmt.Errorf("the record of event %d does not have its hash", index+1))
	}
	return line + "\n"
}

func makeFiles(folder, out string) {
	l := readLog(folder)
	origin, err := os.ReadFile(filepath.Join(folder, "origin"))
	fail(err)
	secret, vkey, err := note.GenerateKey(rand.Reader, "example.com/go")
	fail(err)
	signer, err := note.NewSigner(secret)
	fail(err)
	size := int64(len(l.leaves))
	write(out, "vkey", vkey+"\n")
	head := signTree(l, string(origin), size, signer)
	write(out, "head.checkpoint", head)
	for i := int64(0); i < size; i++ {
		path, err := tlog.ProveRecord(size, i, l)
		fail(err)
		write(out, fmt.Sprintf("%d.tlog-proof", i+1),
			fmt.Sprintf("c2sp.org/tlog-proof@v1\n%sindex %d\n%s\n%s", recordLine(l, folder, i), i, hashLines(path), head))
	}
	for old := int64(1); old <= size; old++ {
		path, err := tlog.ProveTree(size, old, l)
		fail(err)
		write(out, fmt.Sprintf("%d.checkpoint", old), signTree(l, string(origin), old, signer))
		write(out, fmt.Sprintf("%d.consistency", old), fmt.Sprintf("old %d\n%s\n%s", old, hashLines(path), head))
	}
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "make" {
		makeFiles(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: main FOLDER, or main make FOLDER OUT")
		os.Exit(2)
	}
	l := readLog(os.Args[1])
	entries, err := os.ReadDir(os.Args[1])
	fail(err)
	for _, entry := range entries {
		file, err := os.ReadFile(filepath.Join(os.Args[1], entry.Name()))
		fail(err)
		checkFile(l, entry.Name(), file)
	}
	fmt.Printf("%d leaves: %d checkpoints and proofs accepted, %d altered ones refused, %d wrong\n",
		len(l.leaves), accepted, refused, wrong)
	if wrong > 0 || accepted == 0 || refused == 0 {
		os.Exit(1)
	}
}
