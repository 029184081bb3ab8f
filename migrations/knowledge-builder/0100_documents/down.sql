DROP TABLE document_passages;
DROP TABLE documents;
