# Permits whatever comes, so that a fault can only close.
package authz

decision := {"effect": "allow", "policy": "test_allow", "met": ["asked"]}
