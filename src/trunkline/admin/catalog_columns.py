"""The columns of the catalog relations that browsers ask for, as PostgreSQL 18 has them, with their OIDs.

`:o` is an oid, `:i` an integer, `:l` a bigint, `:b` a boolean, `:p` a function, `:a` an array of texts, `:v` one of
numbers; everything else is shown as text. `relhasoids` is of older ones, which clients take us for by our version.
"""

from __future__ import annotations

from typing import Final

from trunkline.admin.arrays import ARRAY_OF, OID
from trunkline.admin.columns import Columns
from trunkline.protocol.messages import BOOL, INT4, INT8, TEXT

REGPROC: Final = 24
_TYPES = {"": TEXT, "o": OID, "i": INT4, "l": INT8, "b": BOOL, "p": REGPROC, "a": ARRAY_OF[TEXT], "v": ARRAY_OF[INT4]}


def columns_of(text: str) -> Columns:
    """Of a line such as `oid:o relname`."""
    found = (word.partition(":") for word in text.split())
    return tuple((name, _TYPES[kind]) for name, _, kind in found)


PG_CATALOG: Final[dict[str, tuple[int, str]]] = {
    "pg_namespace": (2615, """
        oid:o nspname nspowner:o nspacl:a
    """),
    "pg_class": (1259, """
        oid:o relname relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o
        relpages:i reltuples relallvisible:i relallfrozen:i reltoastrelid:o relhasindex:b relisshared:b
        relpersistence relkind relnatts:i relchecks:i relhasrules:b relhastriggers:b relhassubclass:b
        relrowsecurity:b relforcerowsecurity:b relispopulated:b relreplident relispartition:b relrewrite:o
        relfrozenxid relminmxid relacl:a reloptions:a relpartbound relhasoids:b
    """),
    "pg_attribute": (1249, """
        attrelid:o attname atttypid:o attlen:i attnum:i atttypmod:i attndims:i attbyval:b attalign
        attstorage attcompression attnotnull:b atthasdef:b atthasmissing:b attidentity attgenerated
        attisdropped:b attislocal:b attinhcount:i attcollation:o attstattarget:i attacl:a attoptions:a
        attfdwoptions:a attmissingval
    """),
    "pg_type": (1247, """
        oid:o typname typnamespace:o typowner:o typlen:i typbyval:b typtype typcategory typispreferred:b
        typisdefined:b typdelim typrelid:o typsubscript:p typelem:o typarray:o typinput:p typoutput:p
        typreceive:p typsend:p typmodin:p typmodout:p typanalyze:p typalign typstorage typnotnull:b
        typbasetype:o typtypmod:i typndims:i typcollation:o typdefaultbin typdefault typacl:a
    """),
    "pg_database": (1262, """
        oid:o datname datdba:o encoding:i datlocprovider datistemplate:b datallowconn:b dathasloginevt:b
        datconnlimit:i datfrozenxid datminmxid dattablespace:o datcollate datctype datlocale daticurules
        datcollversion datacl:a
    """),
    "pg_roles": (12000, """
        rolname rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b
        rolconnlimit:i rolpassword rolvaliduntil rolbypassrls:b rolconfig:a oid:o
    """),
    "pg_user": (12014, """
        usename usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd valuntil useconfig:a
    """),
    "pg_settings": (12104, """
        name setting unit category short_desc extra_desc context vartype source min_val max_val enumvals:a
        boot_val reset_val sourcefile sourceline:i pending_restart:b
    """),
    "pg_tables": (12033, """
        schemaname tablename tableowner tablespace hasindexes:b hasrules:b hastriggers:b rowsecurity:b
    """),
    "pg_views": (12028, """
        schemaname viewname viewowner definition
    """),
    "pg_description": (2609, """
        objoid:o classoid:o objsubid:i description
    """),
    "pg_shdescription": (2396, """
        objoid:o classoid:o description
    """),
    "pg_attrdef": (2604, """
        oid:o adrelid:o adnum:i adbin
    """),
    "pg_constraint": (2606, """
        oid:o conname connamespace:o contype condeferrable:b condeferred:b conenforced:b convalidated:b
        conrelid:o contypid:o conindid:o conparentid:o confrelid:o confupdtype confdeltype confmatchtype
        conislocal:b coninhcount:i connoinherit:b conperiod:b conkey:v confkey:v conpfeqop:v conppeqop:v conffeqop:v
        confdelsetcols:v conexclop:v conbin
    """),
    "pg_index": (2610, """
        indexrelid:o indrelid:o indnatts:i indnkeyatts:i indisunique:b indnullsnotdistinct:b indisprimary:b
        indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b
        indislive:b indisreplident:b indkey:v indcollation:v indclass:v indoption:v indexprs indpred
    """),
    "pg_inherits": (2611, """
        inhrelid:o inhparent:o inhseqno:i inhdetachpending:b
    """),
    "pg_depend": (2608, """
        classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype
    """),
    "pg_enum": (3501, """
        oid:o enumtypid:o enumsortorder enumlabel
    """),
    "pg_range": (3541, """
        rngtypid:o rngsubtype:o rngmultitypid:o rngcollation:o rngsubopc:o rngcanonical:p rngsubdiff:p
    """),
    "pg_proc": (1255, """
        oid:o proname pronamespace:o proowner:o prolang:o procost prorows provariadic:o prosupport:p prokind
        prosecdef:b proleakproof:b proisstrict:b proretset:b provolatile proparallel pronargs:i
        pronargdefaults:i prorettype:o proargtypes:v proallargtypes:v proargmodes:a proargnames:a proargdefaults
        protrftypes:v prosrc probin prosqlbody proconfig:a proacl:a
    """),
    "pg_trigger": (2620, """
        oid:o tgrelid:o tgparentid:o tgname tgfoid:o tgtype:i tgenabled tgisinternal:b tgconstrrelid:o
        tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b tgnargs:i tgattr:v tgargs tgqual
        tgoldtable tgnewtable
    """),
    "pg_am": (2601, """
        oid:o amname amhandler:p amtype
    """),
    "pg_collation": (3456, """
        oid:o collname collnamespace:o collowner:o collprovider collisdeterministic:b collencoding:i
        collcollate collctype colllocale collicurules collversion
    """),
    "pg_extension": (3079, """
        oid:o extname extowner:o extnamespace:o extrelocatable:b extversion extconfig:v extcondition:a
    """),
    "pg_tablespace": (1213, """
        oid:o spcname spcowner:o spcacl:a spcoptions:a
    """),
    "pg_language": (2612, """
        oid:o lanname lanowner:o lanispl:b lanpltrusted:b lanplcallfoid:o laninline:o lanvalidator:o lanacl:a
    """),
    "pg_sequence": (2224, """
        seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b
    """),
    "pg_policy": (3256, """
        oid:o polname polrelid:o polcmd polpermissive:b polroles:v polqual polwithcheck
    """),
    "pg_rewrite": (2618, """
        oid:o rulename ev_class:o ev_type ev_enabled is_instead:b ev_qual ev_action
    """),
    "pg_auth_members": (1261, """
        oid:o roleid:o member:o grantor:o admin_option:b inherit_option:b set_option:b
    """),
    "pg_event_trigger": (3466, """
        oid:o evtname evtevent evtowner:o evtfoid:o evtenabled evttags:a
    """),
    "pg_foreign_table": (3118, """
        ftrelid:o ftserver:o ftoptions:a
    """),
    "pg_foreign_server": (1417, """
        oid:o srvname srvowner:o srvfdw:o srvtype srvversion srvacl:a srvoptions:a
    """),
    "pg_foreign_data_wrapper": (2328, """
        oid:o fdwname fdwowner:o fdwhandler:o fdwvalidator:o fdwacl:a fdwoptions:a
    """),
    "pg_partitioned_table": (3350, """
        partrelid:o partstrat partnatts:i partdefid:o partattrs:v partclass:v partcollation:v partexprs
    """),
    "pg_matviews": (12038, """
        schemaname matviewname matviewowner tablespace hasindexes:b ispopulated:b definition
    """),
}  # fmt: skip

INFORMATION_SCHEMA: Final[dict[str, tuple[int, str]]] = {
    "schemata": (12595, """
        catalog_name schema_name schema_owner default_character_set_catalog default_character_set_schema
        default_character_set_name sql_path
    """),
    "tables": (12638, """
        table_catalog table_schema table_name table_type self_referencing_column_name reference_generation
        user_defined_type_catalog user_defined_type_schema user_defined_type_name is_insertable_into
        is_typed commit_action
    """),
    "columns": (12509, """
        table_catalog table_schema table_name column_name ordinal_position:i column_default is_nullable
        data_type character_maximum_length:i character_octet_length:i numeric_precision:i
        numeric_precision_radix:i numeric_scale:i datetime_precision:i interval_type interval_precision:i
        character_set_catalog character_set_schema character_set_name collation_catalog collation_schema
        collation_name domain_catalog domain_schema domain_name udt_catalog udt_schema udt_name
        scope_catalog scope_schema scope_name maximum_cardinality:i dtd_identifier is_self_referencing
        is_identity identity_generation identity_start identity_increment identity_maximum identity_minimum
        identity_cycle is_generated generation_expression is_updatable
    """),
    "views": (12696, """
        table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into
        is_trigger_updatable is_trigger_deletable is_trigger_insertable_into
    """),
    "table_constraints": (12624, """
        constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name
        constraint_type is_deferrable initially_deferred enforced nulls_distinct
    """),
    "key_column_usage": (12542, """
        constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name
        column_name ordinal_position:i position_in_unique_constraint:i
    """),
    "referential_constraints": (12552, """
        constraint_catalog constraint_schema constraint_name unique_constraint_catalog
        unique_constraint_schema unique_constraint_name match_option update_rule delete_rule
    """),
}  # fmt: skip
