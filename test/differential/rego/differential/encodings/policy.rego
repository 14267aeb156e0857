# Texts in other texts' clothes.
package differential.encodings

base64_of := base64.encode(input.text)

base64url_of := base64url.encode(input.text)

base64url_bare := base64url.encode_no_pad(input.text)

hex_of := hex.encode(input.text)

hex_read := hex.decode(input.hex)

query_of := urlquery.encode(input.text)

query_read := urlquery.decode(input.query)

object_of := urlquery.encode_object(input.pairs)

digest := crypto.sha256(input.text)

older := [crypto.md5(input.text), crypto.sha1(input.text)]

mac := crypto.hmac.sha256(input.text, input.encoded)

yaml_of := yaml.marshal(input.pairs)

yaml_read := yaml.unmarshal(input.yaml) if regex.match(`^[^&\t]*$`, input.yaml)

yaml_valid if {
	regex.match(`^[^&\t]*$`, input.yaml)
	yaml.is_valid(input.yaml)
}

json_of := json.marshal_with_options(input.pairs, {"pretty": true, "indent": "  "})

name_based := uuid.parse(input.uuid)
